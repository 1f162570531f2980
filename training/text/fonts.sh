#!/bin/sh
# Installs the free fonts that training/text/data.py draws with (Debian 12 package names; run as root or with sudo).
set -e
apt-get install -y --no-install-recommends \
  fonts-3270 fonts-adf-accanthis fonts-adf-baskervald fonts-adf-berenis fonts-adf-gillius fonts-adf-ikarius \
  fonts-adf-irianis fonts-adf-libris fonts-adf-mekanus fonts-adf-oldania fonts-adf-romande fonts-adf-solothurn \
  fonts-adf-switzera fonts-adf-tribun fonts-adf-universalis fonts-adf-verana fonts-aenigma fonts-agave \
  fonts-allerta fonts-anonymous-pro fonts-arapey fonts-atarismall fonts-averia-gwf fonts-averia-sans-gwf \
  fonts-averia-serif-gwf fonts-b612 fonts-bajaderka fonts-bebas-neue fonts-beteckna fonts-blankenburg fonts-breip \
  fonts-cabin fonts-cabinsketch fonts-cantarell fonts-century-catalogue fonts-cherrybomb fonts-clear-sans fonts-cmu \
  fonts-comfortaa fonts-comic-neue fonts-compagnon fonts-courier-prime fonts-crosextra-caladea \
  fonts-crosextra-carlito fonts-dancingscript fonts-dejavu fonts-dkg-handwriting fonts-dosis fonts-dotgothic16 \
  fonts-dustin fonts-ebgaramond fonts-ecolier-court fonts-elstob fonts-engadget fonts-essays1743 fonts-eurofurence \
  fonts-fantasque-sans fonts-fanwood fonts-femkeklaver fonts-freefont-ttf fonts-georgewilliams fonts-gfs-didot \
  fonts-gfs-neohellenic fonts-gnutypewriter fonts-go fonts-goudybookletter fonts-hack fonts-havana fonts-humor-sans \
  fonts-inconsolata fonts-inter fonts-isabella fonts-jetbrains-mono fonts-johnsmith-induni fonts-joscelyn \
  fonts-junction fonts-junicode fonts-jura fonts-karla fonts-karmilla fonts-kaushanscript fonts-klaudia-berenika \
  fonts-klee fonts-kristi fonts-lato fonts-league-mono fonts-league-spartan fonts-leckerli-one fonts-lemonada \
  fonts-levien-museum fonts-levien-typoscript fonts-liberation2 fonts-lindenhill fonts-linex fonts-linuxlibertine \
  fonts-lobster fonts-lobstertwo fonts-lxgw-wenkai fonts-manrope fonts-millimetre fonts-monofur fonts-mononoki \
  fonts-mplus fonts-nanum fonts-national-park fonts-noto-core fonts-ocr-a fonts-ocr-b fonts-okolaks \
  fonts-oldstandard fonts-open-sans fonts-opendin fonts-opendyslexic fonts-oxygen fonts-paratype fonts-pc \
  fonts-play fonts-prociono fonts-proggy fonts-quattrocento fonts-quicksand fonts-radisnoir fonts-rampart \
  fonts-reggae fonts-roadgeek fonts-roboto-fontface fonts-roboto-slab fonts-rocknroll fonts-routed-gothic \
  fonts-rufscript fonts-sil-andika fonts-sil-charis fonts-sil-gentium-basic fonts-sixtyfour fonts-sjfonts \
  fonts-smiley-sans fonts-sora fonts-spleen fonts-staypuft fonts-stick fonts-stix fonts-summersby fonts-terminus-otb \
  fonts-texgyre fonts-tiresias fonts-tlwg-purisa-ttf fonts-tlwg-sawasdee-ttf fonts-tlwg-typist-ttf \
  fonts-tomsontalks fonts-train fonts-triod-postnaja fonts-tuffy fonts-ubuntu-title fonts-unifont fonts-urw-base35 \
  fonts-vollkorn fonts-woowa-bm fonts-yanone-kaffeesatz fonts-yozvox-yozfont fonts-yrsa-rasa fonts-yusei-magic \
  fonts-arphic-gbsn00lp fonts-arphic-gkai00mp fonts-arphic-ukai fonts-arphic-uming fonts-droid-fallback \
  fonts-seto fonts-vlgothic fonts-wqy-microhei fonts-wqy-zenhei fonts-noto-cjk
